// Package e2e tests the whole repository with real parts: the built commands as processes, the
// publisher during faults, Mosquitto in a container. It is a separate module, so that its
// dependencies are not dependencies of the library.
//
// The tests need Docker, and nginx for the tests of a gateway: without them they fail, they are
// never skipped. The image of the broker is eclipse-mosquitto:2, or the one that MOSQUITTO_IMAGE
// names. On Linux some tests mount small disks: if you are not root, run them with
// "unshare --map-root-user --mount".
package e2e
