package event

// Connected says that a device has opened its CIRA connection, as MPS says it:
//
//	{"type":"success","message":"CIRA Connection Established","methods":["CIRA_Connected"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func Connected(guid string) Event {
	return Event{Type: Success, Message: "CIRA Connection Established", Methods: []string{"CIRA_Connected"}, GUID: guid, Outcome: OutcomeOK}
}

// Disconnected says that a device's CIRA connection has ended. MPS never said so; the
// name follows MPS's CIRA_Connected. It is for the newest connection of the device: the
// late end of an older one is no event, or the device looks gone. The reason ends the
// message and may be empty:
//
//	{"type":"success","message":"CIRA Connection Closed: keep-alive timed out","methods":["CIRA_Disconnected"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func Disconnected(guid, reason string) Event {
	return Event{Type: Success, Message: because("CIRA Connection Closed", reason), Methods: []string{"CIRA_Disconnected"}, GUID: guid, Outcome: OutcomeOK}
}

// Activated says that a device's AMT has been activated, as RPS says it, with two
// methods. The mode is the control mode that it is in now, such as "admin control
// mode", and may be empty:
//
//	{"type":"success","message":"Device activated in admin control mode","methods":["Activator","execute"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func Activated(guid, mode string) Event {
	message := "Device activated"
	if mode != "" {
		message += " in " + mode
	}
	return Event{Type: Success, Message: message, Methods: []string{"Activator", "execute"}, GUID: guid, Outcome: OutcomeOK}
}

// ActivationFailed says that a device could not be activated, as RPS says it. The
// reason ends the message; RPS gives none. The outcome is OutcomeDevice: set it to what it was
// if it was not AMT that refused.
//
//	{"type":"fail","message":"Failed to activate: wrong password","methods":["Activator"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func ActivationFailed(guid, reason string) Event {
	return Event{Type: Fail, Message: because("Failed to activate", reason), Methods: []string{"Activator"}, GUID: guid, Outcome: OutcomeDevice}
}

// Deactivated says that a device's AMT has been deactivated, under the name by which
// MPS says that it could not be. It is the success of DELETE /amt/deactivate/:guid,
// about which MPS is silent.
//
//	{"type":"success","message":"Device deactivated","methods":["AMT_Unprovision"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func Deactivated(guid string) Event {
	return Event{Type: Success, Message: "Device deactivated", Methods: []string{"AMT_Unprovision"}, GUID: guid, Outcome: OutcomeOK}
}

// Added says that the server has a new device's record, which activates nothing. MPS
// never said so. It is the success of POST /devices, whose handler knows the guid and
// middleware does not: see middleware.SetGUID.
//
//	{"type":"success","message":"Device added","methods":["createDevice"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func Added(guid string) Event {
	return Event{Type: Success, Message: "Device added", Methods: []string{"createDevice"}, GUID: guid, Outcome: OutcomeOK}
}

// Removed says that a device's record was deleted from the server, which deactivates
// nothing. MPS never said so. It is the success of DELETE /devices/:guid.
//
//	{"type":"success","message":"Device removed","methods":["deleteDevice"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func Removed(guid string) Event {
	return Event{Type: Success, Message: "Device removed", Methods: []string{"deleteDevice"}, GUID: guid, Outcome: OutcomeOK}
}

// PowerChanged says that a device was switched on, off or otherwise, as MPS says it
// (but for the guid, which MPS leaves out). It is the success of
// POST /amt/power/action/:guid.
//
//	{"type":"success","message":"Power Action requested","methods":["AMT_PowerAction"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func PowerChanged(guid string) Event {
	return Event{Type: Success, Message: "Power Action requested", Methods: []string{"AMT_PowerAction"}, GUID: guid, Outcome: OutcomeOK}
}

// RedirectionStarted says that someone has taken over a device's screen (KVM), serial
// line (SOL) or drives (IDER), as MPS says it. MPS leaves the guid out; an empty one
// does too.
//
//	{"type":"success","message":"Redirection session started","methods":["handleConnection"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func RedirectionStarted(guid string) Event {
	return Event{Type: Success, Message: "Redirection session started", Methods: []string{"handleConnection"}, GUID: guid, Outcome: OutcomeOK}
}

// RedirectionEnded says that such a session is over, as MPS says it. MPS leaves the
// guid out; an empty one does too.
//
//	{"type":"success","message":"Redirection session ended","methods":["handleClose"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func RedirectionEnded(guid string) Event {
	return Event{Type: Success, Message: "Redirection session ended", Methods: []string{"handleClose"}, GUID: guid, Outcome: OutcomeOK}
}

// because adds the reason to a message, if there is one.
func because(message, reason string) string {
	if reason == "" {
		return message
	}
	return message + ": " + reason
}
