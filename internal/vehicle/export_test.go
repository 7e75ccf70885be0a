package vehicle

// Denied are the fields in which a text of the change rules out what such a text alone may have said before.
func (c *Change) Denied() Fields { return c.denied }
