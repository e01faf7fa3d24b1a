// Stands in front of runc on machines that lack capabilities themselves. A privileged container asks for all that
// there are, which runc refuses to give where this process may not; with this program it gets all that can be had.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const realRunc = "/usr/sbin/runc"

func main() {
	if bundle, ok := bundleOf(os.Args[1:]); ok {
		if err := restrict(filepath.Join(bundle, "config.json")); err != nil {
			fmt.Fprintf(os.Stderr, "runc: capabilities of the container: %v\n", err)
			os.Exit(1)
		}
	}
	err := syscall.Exec(realRunc, append([]string{"runc"}, os.Args[1:]...), os.Environ())
	fmt.Fprintf(os.Stderr, "runc: %s: %v\n", realRunc, err)
	os.Exit(1)
}

// bundleOf finds the folder of the container that the arguments create; false when they create none.
func bundleOf(args []string) (string, bool) {
	creates := slices.ContainsFunc(args, func(arg string) bool { return arg == "create" || arg == "run" })
	if !creates {
		return "", false
	}
	for i, arg := range args {
		for _, name := range []string{"--bundle", "-b"} {
			if arg == name && i+1 < len(args) {
				return args[i+1], true
			}
			if value, ok := strings.CutPrefix(arg, name+"="); ok {
				return value, true
			}
		}
	}
	return ".", true
}

// restrict takes out of a container's configuration the capabilities that this process cannot give.
func restrict(path string) error {
	held, err := bounding("/proc/self/status")
	if err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed, err := without(content, held)
	if err != nil || changed == nil {
		return err
	}
	return os.WriteFile(path, changed, 0o600)
}

// without gives the configuration with the capabilities that are held alone; nil when it asks for no other.
func without(content []byte, held uint64) ([]byte, error) {
	var config map[string]json.RawMessage
	if err := json.Unmarshal(content, &config); err != nil {
		return nil, err
	}
	var process map[string]json.RawMessage
	if err := json.Unmarshal(config["process"], &process); err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	if process["capabilities"] == nil {
		return nil, nil
	}
	var sets map[string][]string
	if err := json.Unmarshal(process["capabilities"], &sets); err != nil {
		return nil, fmt.Errorf("process.capabilities: %w", err)
	}
	changed := false
	for set, names := range sets {
		kept := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			number := slices.Index(capabilities, strings.TrimPrefix(name, "CAP_"))
			return number >= 0 && held&(1<<number) == 0
		})
		changed = changed || len(kept) != len(names)
		sets[set] = kept
	}
	if !changed {
		return nil, nil
	}
	var err error
	if process["capabilities"], err = json.Marshal(sets); err != nil {
		return nil, err
	}
	if config["process"], err = json.Marshal(process); err != nil {
		return nil, err
	}
	return json.Marshal(config)
}

// bounding reads the set of capabilities that a process can have at all.
func bounding(path string) (uint64, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "CapBnd:"); ok {
			return strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		}
	}
	return 0, fmt.Errorf("%s has no line CapBnd", path)
}

// By number, as in linux/capability.h.
var capabilities = strings.Fields(`
	CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
	NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
	SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
	MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`)
