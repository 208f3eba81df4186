package alerting

// StrictPlans makes it a panic that a transaction asks for a row that it has not planned, until restore is called.
func StrictPlans() (restore func()) {
	strictPlans = true
	return func() { strictPlans = false }
}

// Named returns the number of members that a notice reports for the first time.
func (n *Notice) Named() int { return len(n.reported) + len(n.members) }

// BoundReceipts bounds the receipts of all engines until restore is called.
func BoundReceipts(limit int) (restore func()) {
	before := maxReceipts
	maxReceipts = limit
	return func() { maxReceipts = before }
}
