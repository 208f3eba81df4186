package event

// Connected returns the event of a device that has opened its CIRA connection, in MPS's words:
//
//	{"type":"success","message":"CIRA Connection Established","methods":["CIRA_Connected"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func Connected(guid string) Event {
	return Event{Type: Success, Message: "CIRA Connection Established", Methods: []string{"CIRA_Connected"}, GUID: guid, Outcome: OutcomeOK}
}

// Disconnected returns the event of a device whose CIRA connection has ended. MPS publishes
// no such event; the name follows its CIRA_Connected. Publish it only when the newest
// connection of the device ends: the late end of an older one would make a device that is
// connected look gone. The reason is put at the end of the message and may be empty:
//
//	{"type":"success","message":"CIRA Connection Closed: keep-alive timed out","methods":["CIRA_Disconnected"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func Disconnected(guid, reason string) Event {
	return Event{Type: Success, Message: because("CIRA Connection Closed", reason), Methods: []string{"CIRA_Disconnected"}, GUID: guid, Outcome: OutcomeOK}
}

// Activated returns the event of a device whose AMT has been activated, in RPS's words and with
// RPS's two methods. The mode is the new control mode, such as "admin control mode", and may be
// empty:
//
//	{"type":"success","message":"Device activated in admin control mode","methods":["Activator","execute"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func Activated(guid, mode string) Event {
	message := "Device activated"
	if mode != "" {
		message += " in " + mode
	}
	return Event{Type: Success, Message: message, Methods: []string{"Activator", "execute"}, GUID: guid, Outcome: OutcomeOK}
}

// ActivationFailed returns the event of a device that could not be activated, in RPS's words.
// The reason is put at the end of the message; RPS gives none. The outcome is OutcomeDevice:
// set another one if it was not AMT that refused.
//
//	{"type":"fail","message":"Failed to activate: wrong password","methods":["Activator"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func ActivationFailed(guid, reason string) Event {
	return Event{Type: Fail, Message: because("Failed to activate", reason), Methods: []string{"Activator"}, GUID: guid, Outcome: OutcomeDevice}
}

// Deactivated returns the event of a device whose AMT has been deactivated. The middleware
// makes it when DELETE /amt/deactivate/:guid succeeds. MPS publishes only the failure of that
// call; the name is that of the failure.
//
//	{"type":"success","message":"Device deactivated","methods":["AMT_Unprovision"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func Deactivated(guid string) Event {
	return Event{Type: Success, Message: "Device deactivated", Methods: []string{"AMT_Unprovision"}, GUID: guid, Outcome: OutcomeOK}
}

// Added returns the event of a device whose record was added to the server, which activates
// nothing. MPS publishes no such event. The middleware makes it when POST /devices succeeds,
// but only the handler knows the guid: see middleware.SetGUID.
//
//	{"type":"success","message":"Device added","methods":["createDevice"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func Added(guid string) Event {
	return Event{Type: Success, Message: "Device added", Methods: []string{"createDevice"}, GUID: guid, Outcome: OutcomeOK}
}

// Removed returns the event of a device whose record was deleted from the server, which
// deactivates nothing. MPS publishes no such event. The middleware makes it when
// DELETE /devices/:guid succeeds.
//
//	{"type":"success","message":"Device removed","methods":["deleteDevice"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func Removed(guid string) Event {
	return Event{Type: Success, Message: "Device removed", Methods: []string{"deleteDevice"}, GUID: guid, Outcome: OutcomeOK}
}

// PowerChanged returns the event of a device that was switched on, off or into another power
// state, in MPS's words but with the guid, which MPS leaves out. The middleware makes it when
// POST /amt/power/action/:guid succeeds.
//
//	{"type":"success","message":"Power Action requested","methods":["AMT_PowerAction"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func PowerChanged(guid string) Event {
	return Event{Type: Success, Message: "Power Action requested", Methods: []string{"AMT_PowerAction"}, GUID: guid, Outcome: OutcomeOK}
}

// RedirectionStarted returns the event of a device whose screen (KVM), serial line (SOL) or
// drives (IDER) somebody has taken over, in MPS's words. With an empty guid it has the bytes of
// MPS's event, which has none.
//
//	{"type":"success","message":"Redirection session started","methods":["handleConnection"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func RedirectionStarted(guid string) Event {
	return Event{Type: Success, Message: "Redirection session started", Methods: []string{"handleConnection"}, GUID: guid, Outcome: OutcomeOK}
}

// RedirectionEnded returns the event of a device that was given back after RedirectionStarted,
// in MPS's words. With an empty guid it has the bytes of MPS's event, which has none.
//
//	{"type":"success","message":"Redirection session ended","methods":["handleClose"],"guid":"4c4c4544-004b-4210-8033-b6c04f504633","timestamp":1795321902892}
func RedirectionEnded(guid string) Event {
	return Event{Type: Success, Message: "Redirection session ended", Methods: []string{"handleClose"}, GUID: guid, Outcome: OutcomeOK}
}

// because returns the message with the reason after it, if there is one.
func because(message, reason string) string {
	if reason == "" {
		return message
	}
	return message + ": " + reason
}
