package rulefile_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWhatAnAlertDependsOnHasToBeRaised(t *testing.T) {
	const gateway = `
  - {name: gateway, when: msg.gateway == "down", raise: {key: "gateway/{msg.site}", summary: s}, ends: {age: 1h}}`
	device := func(unless string) string {
		return `rules:
  - {name: device, when: msg.device == "down", unless_open: ` + unless + `, raise: {key: "device/{msg.id}", summary: s}, ends: {age: 1h}}`
	}
	for text, want := range map[string]string{
		device(`"gateway/{msg.site}"`) + gateway:                                               "",
		device(`[gateway/Berlin, mps-ilert/the-client]`) + gateway:                             "",
		device(`"gateway/{msg.site}"`):                                                         `rule "device": unless_open: no other rule with its integration_key raises an alert with such a key`,
		device(`gatewya/Berlin`) + gateway:                                                     `rule "device": unless_open: no other rule with its integration_key raises an alert with gatewya/Berlin`,
		device(`"device/{msg.id}"`) + gateway:                                                  `raises an alert with such a key`,
		device(`""`) + gateway:                                                                 `unless_open: is empty`,
		device(`[gateway/1, gateway/2, gateway/3, gateway/4, gateway/5, gateway/6]`) + gateway: `unless_open: 6 keys: want at most 5`,
		device(`{a: b}`) + gateway:                                                             `unless_open: want a text, have a mapping`,
		device(`"gateway/{group}"`) + gateway:                                                  `unless_open: there is no group here`,
		`rules: [{name: end, resolve: a, unless_open: b}]`:                                     `rule "end": unless_open goes with raise`,
	} {
		if want == "" {
			load(t, text)
		} else {
			assert.Contains(t, mistakes(t, text), want, text)
		}
	}
}
