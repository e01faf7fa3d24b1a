package remote

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// sshd is a real SSH server in this process: it runs commands by /bin/sh, serves SFTP and forwards TCP.
type sshd struct {
	address    net.Addr
	hostKey    ssh.PublicKey
	clientKey  string // PEM, the only key that is let in
	acceptEnv  string // the only variable that is accepted; empty for none
	password   string
	logins     atomic.Int32
	tunnels    atomic.Int32
	connection sync.WaitGroup
}

func newKey(t *testing.T, passphrase string) (ssh.Signer, string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(private, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, string(pem.EncodeToMemory(block))
}

// startSSHD serves until the test ends.
func startSSHD(t *testing.T, adapt ...func(*sshd)) *sshd {
	t.Helper()
	hostSigner, _ := newKey(t, "")
	clientSigner, clientKey := newKey(t, "")
	s := &sshd{hostKey: hostSigner.PublicKey(), clientKey: clientKey, password: "correct horse"}
	for _, f := range adapt {
		f(s)
	}
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if string(key.Marshal()) != string(clientSigner.PublicKey().Marshal()) {
				return nil, errors.New("unknown key")
			}
			return nil, nil
		},
		PasswordCallback: func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if string(password) != s.password {
				return nil, errors.New("wrong password")
			}
			return nil, nil
		},
	}
	config.AddHostKey(hostSigner)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr()
	t.Cleanup(func() { _ = listener.Close(); s.connection.Wait() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.connection.Add(1)
			go func() {
				defer s.connection.Done()
				s.serve(conn, config)
			}()
		}
	}()
	return s
}

func (s *sshd) serve(conn net.Conn, config *ssh.ServerConfig) {
	defer func() { _ = conn.Close() }()
	sshConn, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	s.logins.Add(1)
	defer func() { _ = sshConn.Close() }()
	go ssh.DiscardRequests(requests)
	for channel := range channels {
		switch channel.ChannelType() {
		case "session":
			go s.session(channel)
		case "direct-tcpip":
			s.tunnels.Add(1)
			go forward(channel)
		default:
			_ = channel.Reject(ssh.UnknownChannelType, "")
		}
	}
}

func forward(request ssh.NewChannel) {
	var target struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(request.ExtraData(), &target); err != nil {
		_ = request.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	conn, err := net.Dial("tcp", net.JoinHostPort(target.Host, itoa(target.Port)))
	if err != nil {
		_ = request.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	channel, requests, err := request.Accept()
	if err != nil {
		_ = conn.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	go func() { _, _ = io.Copy(channel, conn); _ = channel.Close() }()
	_, _ = io.Copy(conn, channel)
	_ = conn.Close()
}

func (s *sshd) session(request ssh.NewChannel) {
	channel, requests, err := request.Accept()
	if err != nil {
		return
	}
	environment := os.Environ()
	for r := range requests {
		var payload struct{ Name, Value string }
		switch r.Type {
		case "env":
			ok := ssh.Unmarshal(r.Payload, &payload) == nil && payload.Name == s.acceptEnv
			if ok {
				environment = append(environment, payload.Name+"="+payload.Value)
			}
			_ = r.Reply(ok, nil)
		case "exec":
			_ = r.Reply(true, nil)
			go s.exec(channel, string(r.Payload[4:]), environment)
		case "subsystem":
			ok := string(r.Payload[4:]) == "sftp"
			_ = r.Reply(ok, nil)
			if ok {
				go func() {
					server, err := sftp.NewServer(channel)
					if err == nil {
						_ = server.Serve()
					}
					_ = channel.Close()
				}()
			}
		default:
			_ = r.Reply(false, nil)
		}
	}
}

func (s *sshd) exec(channel ssh.Channel, command string, environment []string) {
	defer func() { _ = channel.Close() }()
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Env, cmd.Stdout, cmd.Stderr = environment, channel, channel.Stderr()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return
	}
	if err := cmd.Start(); err != nil {
		return
	}
	go func() { _, _ = io.Copy(stdin, channel); _ = stdin.Close() }()
	_ = cmd.Wait()
	status := make([]byte, 4)
	binary.BigEndian.PutUint32(status, uint32(cmd.ProcessState.ExitCode()))
	_, _ = channel.SendRequest("exit-status", false, status)
}

// connect is how to get in, by key and with the host key checked.
func (s *sshd) connect() *Connection {
	tcp := s.address.(*net.TCPAddr)
	return &Connection{Endpoint: Endpoint{
		Host: new(tcp.IP.String()), Port: new(float64(tcp.Port)), PrivateKey: &s.clientKey,
		HostKey: new(strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.hostKey)))), DialErrorLimit: new(0),
	}}
}
