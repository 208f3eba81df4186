package mps

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"github.com/mps-events/mps-events/internal/openamt"
)

// parameter matches a parameter in the path of a route, such as :guid.
var parameter = regexp.MustCompile(`:(\w+)`)

// Document returns the OpenAPI document of all routes.
func Document() JSON {
	paths := JSON{}
	for _, r := range Routes() {
		path := parameter.ReplaceAllString(r.Path, "{$1}")
		if paths[path] == nil {
			paths[path] = JSON{}
		}
		paths[path].(JSON)[strings.ToLower(r.Method)] = operation(r)
	}
	return JSON{
		"openapi": "3.0.3",
		"info": JSON{
			"title": "mps-sim: the REST API of MPS, simulated", "version": "2.34.0",
			"description": "Each call makes the events of MPS at the broker. No token is asked for.",
		},
		"paths": paths,
	}
}

// operation returns the description of a route.
func operation(r Route) JSON {
	known, _ := openamt.Lookup(r.Method, r.Path)
	words := known.Words()
	responses := JSON{strconv.Itoa(r.Status): JSON{"description": words.Success.Message}}
	if r.NeedsDevice {
		responses["404"] = JSON{"description": "The device is not known or not connected"}
		responses["500"] = JSON{"description": "AMT of the device does not answer"}
	}
	if r.Body != "" {
		responses["400"] = JSON{"description": words.Fail.Message}
	}
	o := JSON{"operationId": strings.ToLower(r.Method) + strings.ReplaceAll(parameter.ReplaceAllString(r.Path, ""), "/", "_"), "summary": words.Request.Message, "responses": responses}
	var parameters []JSON
	for _, name := range parameter.FindAllStringSubmatch(r.Path, -1) {
		parameters = append(parameters, JSON{"name": name[1], "in": "path", "required": true, "schema": JSON{"type": "string"}})
	}
	if parameters != nil {
		o["parameters"] = parameters
	}
	if r.Body != "" {
		var example any
		if json.Unmarshal([]byte(r.Body), &example) == nil {
			o["requestBody"] = JSON{"content": JSON{"application/json": JSON{"schema": JSON{"type": "object"}, "example": example}}}
		}
	}
	return o
}
