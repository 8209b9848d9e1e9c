import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kubernetesModule } from './go-build.ts'
import { isNewEnough } from './go-toolchain.ts'

test('Go is used from 1.24 on', () => {
  assert.equal(isNewEnough('go version go1.26.8 linux/amd64'), true)
  assert.equal(isNewEnough('go version go1.24 linux/arm64'), true)
  assert.equal(isNewEnough('go version go1.19.8 linux/amd64'), false)
  assert.equal(isNewEnough(''), false)
})

const GO_MOD = `module k8s.io/kubernetes

go 1.24.0

require (
	github.com/spf13/cobra v1.9.1
	k8s.io/api v0.0.0
	k8s.io/kubelet v0.0.0
	k8s.io/klog/v2 v2.130.1
)

replace (
	k8s.io/api => ./staging/src/k8s.io/api
	k8s.io/sample-controller => ./staging/src/k8s.io/sample-controller
)
`

test('each staging module is replaced by its published release, once', () => {
  assert.equal(
    kubernetesModule(GO_MOD, '1.34.4'),
    `module lab/kubernetes

go 1.24.0

require k8s.io/kubernetes v1.34.4

replace (
  k8s.io/api => k8s.io/api v0.34.4
  k8s.io/kubelet => k8s.io/kubelet v0.34.4
  k8s.io/sample-controller => k8s.io/sample-controller v0.34.4
)
`,
  )
})

test('a go.mod of another form is refused', () => {
  assert.throws(() => kubernetesModule('module x\n', '1.34.4'), /another form/)
})
