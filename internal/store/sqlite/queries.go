package sqlite

import (
	"iter"
	"slices"
	"strings"
	"time"
)

// listQuery is a statement about rows with one of many values. Their list takes the place of "(LIST)". One statement
// about many rows is much faster than many statements about one.
type listQuery string

// listLengths holds the lengths of lists for which statements are prepared. A shorter list repeats its last value.
var listLengths = []int{1, 8, 64}

// lists returns statements that are about all values together, with their arguments: those in before, then values.
func lists[V any](t *tx, query listQuery, values []V, before ...any) iter.Seq2[string, []any] {
	return func(yield func(string, []any) bool) {
		if len(values) == 0 {
			return
		}
		texts := t.conn.lists[query]
		if texts == nil {
			for _, length := range listLengths {
				texts = append(texts, strings.Replace(string(query), "(LIST)", "(?"+strings.Repeat(",?", length-1)+")", 1))
			}
			t.conn.lists[query] = texts
		}
		longest := listLengths[len(listLengths)-1]
		args := make([]any, 0, len(before)+longest)
		for some := range slices.Chunk(values, longest) {
			i := 0
			for listLengths[i] < len(some) {
				i++
			}
			args = append(args[:0], before...)
			for j := range listLengths[i] {
				args = append(args, some[min(j, len(some)-1)])
			}
			if !yield(texts[i], args) {
				return
			}
		}
	}
}

// eachOf calls scan with each row of the results of a statement about many values.
func eachOf[V any](t *tx, scan func(*row), query listQuery, values []V, before ...any) error {
	for text, args := range lists(t, query, values, before...) {
		if err := t.each(scan, text, args...); err != nil {
			return err
		}
	}
	return nil
}

// execOf executes a statement about many values.
func execOf[V any](t *tx, query listQuery, values []V, before ...any) error {
	for text, args := range lists(t, query, values, before...) {
		if err := t.exec(text, args...); err != nil {
			return err
		}
	}
	return nil
}

// conditions is the WHERE clause of a query that a caller puts together, with its arguments.
type conditions struct {
	all  []string
	args []any
}

func (c *conditions) add(condition string, args ...any) {
	c.all, c.args = append(c.all, condition), append(c.args, args...)
}

// text adds a condition unless its text is empty.
func (c *conditions) text(condition, text string) {
	if text != "" {
		c.add(condition, text)
	}
}

// before adds a condition unless its time is zero.
func (c *conditions) before(condition string, at time.Time) {
	if !at.IsZero() {
		c.add(condition, millis(at))
	}
}

// where returns the conditions as a clause.
func (c *conditions) where() string {
	if len(c.all) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.all, " AND ")
}

// limit returns the conditions as a clause with an order and a limit, of which 0 is none.
func (c *conditions) limit(order string, limit int) string {
	if limit == 0 {
		limit = -1
	}
	c.args = append(c.args, limit)
	return c.where() + " ORDER BY " + order + " LIMIT ? + 0"
}
