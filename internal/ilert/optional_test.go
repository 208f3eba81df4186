package ilert_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mps-events/mps-events/internal/ilert"
)

func TestOptionalFieldsAreMadeWhatIlertTakes(t *testing.T) {
	for members, want := range map[string]string{
		`{}`:                  `{}`,
		`{"priority":"HIGH"}`: `{"priority":"HIGH"}`, `{"priority":" high\n"}`: `{"priority":"HIGH"}`, `{"priority":"Low"}`: `{"priority":"LOW"}`,
		`{"priority":null}`: `{}`, `{"priority":" "}`: `{}`,
		`{"severity":3}`: `{"severity":3}`, `{"severity":" 5 "}`: `{"severity":5}`, `{"severity":2.0}`: `{"severity":2}`, `{"severity":null}`: `{}`, `{"severity":""}`: `{}`,
		`{"details":"x"}`: `{"details":"x"}`, `{"details":5}`: `{"details":"5"}`, `{"details":{"a": [1]}}`: `{"details":"{\"a\":[1]}"}`, `{"details":null}`: `{}`,
		`{"alertKey":" a"}`: `{"alertKey":" a"}`, `{"alertKey":12345678901234567890}`: `{"alertKey":"12345678901234567890"}`, `{"alertKey":null}`: `{}`,
		`{"routingKey":"r"}`: `{"routingKey":"r"}`, `{"routingKey":7}`: `{"routingKey":"7"}`, `{"routingKey":""}`: `{}`,
		`{"labels":{"a":"b","n":1.50,"t":true,"z":null,"o":{"x": 1}}}`: `{"labels":{"a":"b","n":"1.50","o":"{\"x\":1}","t":"true"}}`,
		`{"labels":{"z":null}}`: `{}`, `{"labels":null}`: `{}`,
		`{"links":[{"href":"https://a?b=1&c","text":null}]}`:                      `{"links":[{"href":"https://a?b=1&c"}]}`,
		`{"links":[{"href":"https://a","text":5}],"images":[]}`:                   `{"links":[{"href":"https://a","text":"5"}]}`,
		`{"images":[{"src":"https://a","href":null,"alt":"x"}],"links":null}`:     `{"images":[{"alt":"x","src":"https://a"}]}`,
		`{"comments":[{"creator":null,"content":"c"}],"services":[{"id":1}]}`:     `{"comments":[{"content":"c"}],"services":[{"id":1}]}`,
		`{"customDetails":{"a":null,"b":[1]}}`:                                    `{"customDetails":{"a":null,"b":[1]}}`,
		`{"customDetails":null,"unknown":1,"Priority":7,"summary":5}`:             `{}`,
		`{"images":[{"src":"https://a","href":5,"more":{"kept":true},"alt":{}}]}`: `{"images":[{"href":"5","more":{"kept":true},"src":"https://a"}]}`,
	} {
		got, left := optional(t, members)
		assert.JSONEq(t, want, got, members)
		assert.Empty(t, left, members)
	}
}

func TestOptionalFieldsThatAreNotValidAreLeftOutAndNamed(t *testing.T) {
	for members, c := range map[string]struct {
		want string
		left []ilert.Omission
	}{
		`{"priority":"MEDIUM"}`:                {`{}`, []ilert.Omission{{"priority", `"MEDIUM": want HIGH or LOW`}}},
		`{"priority":1,"details":"d"}`:         {`{"details":"d"}`, []ilert.Omission{{"priority", `1: want HIGH or LOW`}}},
		`{"severity":0}`:                       {`{}`, []ilert.Omission{{"severity", `0: want a number from 1 to 5`}}},
		`{"severity":7}`:                       {`{}`, []ilert.Omission{{"severity", `7: want a number from 1 to 5`}}},
		`{"severity":1.5}`:                     {`{}`, []ilert.Omission{{"severity", `1.5: want a number from 1 to 5`}}},
		`{"severity":"critical"}`:              {`{}`, []ilert.Omission{{"severity", `"critical": want a number from 1 to 5`}}},
		`{"severity":[1]}`:                     {`{}`, []ilert.Omission{{"severity", `[1]: want a number from 1 to 5`}}},
		`{"alertKey":["a"]}`:                   {`{}`, []ilert.Omission{{"alertKey", `want a text, have a list`}}},
		`{"routingKey":{"a":1}}`:               {`{}`, []ilert.Omission{{"routingKey", `want a text, have an object`}}},
		`{"labels":["a"]}`:                     {`{}`, []ilert.Omission{{"labels", `want an object of texts, have a list`}}},
		`{"labels":"a"}`:                       {`{}`, []ilert.Omission{{"labels", `want an object of texts, have a text`}}},
		`{"links":"https://a"}`:                {`{}`, []ilert.Omission{{"links", `want a list of objects, have a text`}}},
		`{"links":[{"href":null,"text":"t"}]}`: {`{}`, []ilert.Omission{{"links", `one has no href`}}},
		`{"links":[{"href":{}},{"href":"https://a"}, "https://b"]}`: {`{"links":[{"href":"https://a"}]}`, []ilert.Omission{{"links", `one has no href`}, {"links", `want a list of objects, have a text in it`}}},
		`{"images":[{"href":"https://a"}]}`:                         {`{}`, []ilert.Omission{{"images", `one has no src`}}},
		`{"comments":{"content":"c"},"services":[5]}`:               {`{}`, []ilert.Omission{{"comments", `want a list of objects, have an object`}, {"services", `want a list of objects, have a number in it`}}},
	} {
		got, left := optional(t, members)
		assert.JSONEq(t, c.want, got, members)
		assert.Equal(t, c.left, left, members)
	}
}

// optional returns the fields that SetOptional sets from a JSON object, and those that it leaves
// out.
func optional(t *testing.T, object string) (fields string, left []ilert.Omission) {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(object), &members))
	var e ilert.Event
	left = e.SetOptional(members)
	encoded, err := json.Marshal(e)
	require.NoError(t, err)
	var all map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(encoded, &all))
	for _, required := range []string{"integrationKey", "eventType", "summary"} {
		delete(all, required)
	}
	encoded, err = json.Marshal(all)
	require.NoError(t, err)
	return string(encoded), left
}
