//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A folder that root owns, as Docker makes for a bind mount, while the image runs as user 65532.
func TestAStoreThatMayNotBeWrittenSaysWhatToDo(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.Mkdir(folder, 0o500))
	require.NoError(t, os.Chmod(filepath.Dir(filepath.Dir(folder)), 0o755)) // other users may look for the binary
	binary := filepath.Join(filepath.Dir(folder), "mps-ilert")              // go's own folder keeps other users out
	content, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(binary, content, 0o755))
	command := exec.CommandContext(t.Context(), binary, "daemon", "-p", "0", "-f", filepath.Join(folder, "mps-ilert.db"))
	command.Env = []string{"TEST_AS_COMMAND=1"}
	user := os.Getuid()
	if user == 0 { // whom no folder keeps out
		user = 65532
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	}
	out, err := command.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), fmt.Sprintf("permission denied: this process is user %d, which may not write in %s: "+
		"let it own that folder (chown -R %[1]d %[2]s), or run as the user who does (docker run --user ...)", user, folder))
}
