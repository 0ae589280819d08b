// Asks a policy.json whether an image may be run, by the very library that podman, CRI-O and bootc use:
//
//	policy-check POLICY.json REGISTRIES.D HOST/NAME:TAG
//
// Of an index it asks for the image of this platform, as podman does. Prints "accepted" and ends with 0, or prints why
// not and ends with 1.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/image"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/signature"
	"go.podman.io/image/v5/types"
	"go.podman.io/image/v5/version"
)

// How long one question may take.
const limit = 30 * time.Second

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Println("image", version.Version)
		return
	}
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: policy-check POLICY.json REGISTRIES.D HOST/NAME:TAG")
		os.Exit(2)
	}
	if err := check(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("accepted")
}

func check(policyFile, registriesFolder, name string) (result error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	policy, err := signature.NewPolicyFromFile(policyFile)
	if err != nil {
		return err
	}
	asked, err := signature.NewPolicyContext(policy)
	if err != nil {
		return err
	}
	defer func() { result = errors.Join(result, asked.Destroy()) }()
	reference, err := docker.ParseReference("//" + name)
	if err != nil {
		return err
	}
	system := &types.SystemContext{
		RegistriesDirPath:           registriesFolder,
		SystemRegistriesConfPath:    os.DevNull,
		DockerInsecureSkipTLSVerify: types.OptionalBoolTrue,
	}
	source, err := reference.NewImageSource(ctx, system)
	if err != nil {
		return err
	}
	defer func() { result = errors.Join(result, source.Close()) }()
	chosen, err := platformOf(ctx, source, system)
	if err != nil {
		return err
	}
	_, err = asked.IsRunningImageAllowed(ctx, image.UnparsedInstance(source, chosen))
	return err
}

// Nil: the image is no index.
func platformOf(ctx context.Context, source types.ImageSource, system *types.SystemContext) (*digest.Digest, error) {
	bytes, mediaType, err := source.GetManifest(ctx, nil)
	if err != nil || !manifest.MIMETypeIsMultiImage(mediaType) {
		return nil, err
	}
	list, err := manifest.ListFromBlob(bytes, mediaType)
	if err != nil {
		return nil, err
	}
	chosen, err := list.ChooseInstance(system)
	return &chosen, err
}
