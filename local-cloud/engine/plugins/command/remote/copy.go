package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/pkg/sftp"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/infer/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// CopyToRemote is command:remote:CopyToRemote. Deleting it leaves the copy where it is.
type CopyToRemote struct{}

// CopyArgs are the inputs of CopyToRemote.
type CopyArgs struct {
	Connection *Connection          `pulumi:"connection" provider:"secret"`
	Triggers   *[]any               `pulumi:"triggers,optional" provider:"replaceOnChanges"`
	Source     types.AssetOrArchive `pulumi:"source"`
	RemotePath string               `pulumi:"remotePath"`
}

// CopyState is the state of CopyToRemote.
type CopyState struct{ CopyArgs }

// Check refuses sources that this version of the contract does not know.
func (*CopyToRemote) Check(
	ctx context.Context, req infer.CheckRequest,
) (infer.CheckResponse[CopyArgs], error) {
	args, failures, err := infer.DefaultCheck[CopyArgs](ctx, req.NewInputs)
	if err != nil {
		return infer.CheckResponse[CopyArgs]{Inputs: args, Failures: failures}, err
	}
	refuse := func(property, reason string) {
		failures = append(failures, p.CheckFailure{Property: property, Reason: reason})
	}
	asset, archive := args.Source.Asset, args.Source.Archive
	switch {
	case asset != nil && archive != nil:
		refuse("asset", "only one of asset or archive can be set")
	case asset == nil && archive == nil:
		refuse("asset", "either asset or archive must be set")
	case asset != nil && !asset.IsPath() && !asset.IsText():
		refuse("asset", "asset must be a path-based file asset or a text asset")
	case archive != nil && !archive.IsPath():
		refuse("archive", "archive must be a path to a file or directory")
	}
	return infer.CheckResponse[CopyArgs]{Inputs: args, Failures: failures}, nil
}

// Create copies.
func (*CopyToRemote) Create(
	ctx context.Context, req infer.CreateRequest[CopyArgs],
) (infer.CreateResponse[CopyState], error) {
	state := CopyState{req.Inputs}
	if req.DryRun {
		return infer.CreateResponse[CopyState]{Output: state}, nil
	}
	if err := copyTo(ctx, req.Inputs); err != nil {
		return infer.CreateResponse[CopyState]{Output: state}, err
	}
	id, err := resource.NewUniqueHex("", 8, 0)
	return infer.CreateResponse[CopyState]{ID: id, Output: state}, err
}

// Update copies again only if the content or the destination changed; a new connection alone does not.
func (*CopyToRemote) Update(
	ctx context.Context, req infer.UpdateRequest[CopyArgs, CopyState],
) (infer.UpdateResponse[CopyState], error) {
	state := CopyState{req.Inputs}
	changed := req.Inputs.hash() != req.State.hash() || req.Inputs.RemotePath != req.State.RemotePath
	if req.DryRun || !changed {
		return infer.UpdateResponse[CopyState]{Output: state}, nil
	}
	return infer.UpdateResponse[CopyState]{Output: state}, copyTo(ctx, req.Inputs)
}

func (a *CopyArgs) hash() string {
	if a.Source.Archive != nil {
		return a.Source.Archive.Hash
	}
	return a.Source.Asset.Hash
}

func copyTo(ctx context.Context, args CopyArgs) error {
	client, closeClient, err := args.Connection.Dial(ctx)
	if err != nil {
		return err
	}
	defer closeClient()
	stop := context.AfterFunc(ctx, closeClient)
	defer stop()
	files, err := sftp.NewClient(client, sftp.UseConcurrentWrites(true))
	if err != nil {
		return fmt.Errorf("failed to start SFTP: %w", err)
	}
	defer func() { _ = files.Close() }()

	if asset := args.Source.Asset; asset != nil && asset.IsText() {
		return copyText(files, asset.Text, args.RemotePath)
	} else if asset != nil {
		return copyPath(files, asset.Path, args.RemotePath)
	}
	return copyPath(files, args.Source.Archive.Path, args.RemotePath)
}

// stat is nil if there is nothing at name.
func stat(files *sftp.Client, name string) (fs.FileInfo, error) {
	info, err := files.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("failed to stat remote path %s: %w", name, err)
	}
	return info, nil
}

func copyText(files *sftp.Client, text, destination string) error {
	at, err := stat(files, destination)
	if err != nil {
		return err
	}
	if at != nil && at.IsDir() {
		return fmt.Errorf("remote path %s is a directory; a text asset needs the path of a file", destination)
	}
	if err := makeFolders(files, path.Dir(destination)); err != nil {
		return err
	}
	return write(files, bytes.NewReader([]byte(text)), destination)
}

// copyPath copies a file or a folder. A file goes into an existing folder or becomes the destination, and a
// folder goes into the destination; with a slash at the end of its name only its contents do.
func copyPath(files *sftp.Client, source, destination string) error {
	from, err := os.Stat(source)
	if err != nil {
		return err
	}
	at, err := stat(files, destination)
	if err != nil {
		return err
	}
	if from.IsDir() {
		if !strings.HasSuffix(source, "/") {
			destination = path.Join(destination, filepath.Base(source))
		}
		return copyFolder(files, source, destination)
	}
	if at != nil && at.IsDir() {
		destination = path.Join(destination, filepath.Base(source))
	} else if at == nil {
		if err := makeFolders(files, path.Dir(destination)); err != nil {
			return err
		}
	}
	return copyFile(files, source, destination)
}

func copyFolder(files *sftp.Client, source, destination string) error {
	return fs.WalkDir(os.DirFS(source), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := path.Join(destination, name)
		if entry.IsDir() {
			return makeFolders(files, target)
		}
		return copyFile(files, filepath.Join(source, name), target)
	})
}

func copyFile(files *sftp.Client, source, destination string) error {
	content, err := os.Open(source)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	return write(files, content, destination)
}

func makeFolders(files *sftp.Client, name string) error {
	at, err := stat(files, name)
	if err != nil {
		return err
	}
	if at != nil && !at.IsDir() {
		return fmt.Errorf("remote path %s exists but is not a directory", name)
	}
	if at == nil {
		if err := files.MkdirAll(name); err != nil {
			return fmt.Errorf("failed to create remote directory %s: %w", name, err)
		}
	}
	return nil
}

func write(files *sftp.Client, content io.Reader, destination string) error {
	file, err := files.Create(destination)
	if err != nil {
		return fmt.Errorf("failed to create remote file %s: %w", destination, err)
	}
	_, err = file.ReadFrom(content)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("failed to write remote file %s: %w", destination, err)
	}
	return nil
}
