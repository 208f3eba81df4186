package store

// BoundReceipts bounds the receipts of all stores until restore is called.
func BoundReceipts(limit int) (restore func()) {
	before := maxReceipts
	maxReceipts = limit
	return func() { maxReceipts = before }
}
