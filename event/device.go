package event

// Connected says that a device has opened its CIRA connection, as MPS says it.
func Connected(guid string) Event {
	return Event{Type: Success, Message: "CIRA Connection Established", Methods: []string{"CIRA_Connected"}, GUID: guid, Outcome: OK}
}

// Disconnected says that a device's CIRA connection has ended. MPS never said
// so; the name follows MPS's CIRA_Connected. The reason ends the message and may
// be empty.
func Disconnected(guid, reason string) Event {
	message := "CIRA Connection Closed"
	if reason != "" {
		message += ": " + reason
	}
	return Event{Type: Success, Message: message, Methods: []string{"CIRA_Disconnected"}, GUID: guid, Outcome: OK}
}
