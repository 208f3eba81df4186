package alerting

// Bytes returns the size of a dead letter as the bounds count it. It leaves out the other fields, which are short.
func (l *Letter) Bytes() int64 {
	return int64(len(l.Topic) + len(l.Payload) + len(propertiesOf(l.Properties)))
}

// Bytes returns the size of an outbox item as the bounds count it.
func (o *OutboxItem) Bytes() int64 {
	size := len(o.Body) + len(o.Cause.Topic) + len(o.Cause.Payload) + len(o.Cause.Properties)
	if secret, literal := o.Alert.Integration.Literal(); literal {
		size += len(secret)
	}
	return int64(size)
}
