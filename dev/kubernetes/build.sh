#!/bin/sh
# build.sh OUT: build hyperkube for the Kubernetes version pinned in go.mod.
set -eu
cd "$(dirname "$0")"
out=${1:?usage: build.sh OUT}
version=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' go.mod)
minor=${version#v1.}; minor=${minor%%.*}
# Unstamped, the apiserver calls itself v0.0.0-master+$Format:%H$, and both it
# and the kubelet refuse or misjudge version skew.
x=
for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
	x="$x -X $p.gitVersion=$version -X $p.gitMajor=1 -X $p.gitMinor=$minor -X $p.gitTreeState=clean"
	x="$x -X $p.gitCommit=module-proxy -X $p.buildDate=1970-01-01T00:00:00Z"
done
# Moved into place, so that a build which is stopped half-way leaves nothing to run.
CGO_ENABLED=0 go build -trimpath -ldflags "-s -w $x" -o "$out.tmp" .
mv "$out.tmp" "$out"
