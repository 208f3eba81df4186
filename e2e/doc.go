// Package e2e tests the whole house with real parts: the built commands as processes, the publisher while
// things break, Mosquitto in a container. It is a module of its own so that nothing it needs becomes a
// requirement of the library.
//
// Docker is required, and nginx for the tests of a gateway: without them the tests fail, they are never skipped. The broker's image is
// eclipse-mosquitto:2, or what MOSQUITTO_IMAGE names. On Linux, small disks are mounted too: whoever is
// not root runs the tests by "unshare --map-root-user --mount".
package e2e
