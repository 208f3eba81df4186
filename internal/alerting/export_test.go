package alerting

// StrictPlans makes a transaction panic that asks for a row which it has not planned, until restore is called.
func StrictPlans() (restore func()) {
	strictPlans = true
	return func() { strictPlans = false }
}

// Named returns the number of members that a notice reports for the first time.
func (n *Notice) Named() int { return len(n.reported) + len(n.members) }

// BoundReceipts limits the number of receipts of all engines until restore is called.
func BoundReceipts(limit int) (restore func()) {
	before := maxReceipts
	maxReceipts = limit
	return func() { maxReceipts = before }
}

// BoundPages bounds the pages in which rules and alerts end until restore is called.
func BoundPages(limit int) (restore func()) {
	before := maxPage
	maxPage = limit
	return func() { maxPage = before }
}
