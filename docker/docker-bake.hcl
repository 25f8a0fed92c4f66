# The two variants of the Dockerfile. `nox -s image` sets these variables and the output.
variable "BASE_IMAGE" { default = "" } # empty: the one pinned in the Dockerfile
variable "NETWORK" { default = "default" }
variable "SOURCE_DATE_EPOCH" { default = "0" }
variable "REVISION" { default = "" }
variable "LOCK_DIGEST" { default = "" }
variable "RUNTIME" { default = "" }
variable "SOURCE_URL" { default = "" }
variable "CACHE_NAMESPACE" { default = "" }

group "default" { targets = ["tools", "cuda"] }

target "common" {
  context    = "."
  dockerfile = "docker/Dockerfile"
  network    = NETWORK
  args = {
    BASE_IMAGE               = BASE_IMAGE != "" ? BASE_IMAGE : null
    SOURCE_DATE_EPOCH        = SOURCE_DATE_EPOCH
    REVISION                 = REVISION
    LOCK_DIGEST              = LOCK_DIGEST
    RUNTIME                  = RUNTIME
    SOURCE_URL               = SOURCE_URL
    BUILDKIT_CACHE_MOUNT_NS  = CACHE_NAMESPACE != "" ? CACHE_NAMESPACE : null
  }
  attest = ["type=provenance,disabled=true"] # it would hold times; a release has a separate attestation
}

target "tools" {
  inherits = ["common"]
  target   = "tools"
}

target "cuda" {
  inherits = ["common"]
  target   = "cuda"
}
