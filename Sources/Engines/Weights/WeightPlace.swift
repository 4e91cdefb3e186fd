import Wire

/// Where a trainer is to write a version of its weights.
///
/// A trainer of this process writes into `memory`. One in another process maps the file at `path`, or writes it: the
/// memory is that file's. It has its whole length, and its owner holds it alone until the version is announced.
package struct WeightPlace: Sendable {
    package let version: UInt64
    /// What is to lie where, as the trainer told it.
    package let manifest: WeightManifest
    /// The file in shared memory; nil where the memory is this process's alone.
    package let path: String?
    /// Memory of as many bytes as the manifest says.
    package let memory: WeightMemory

    /// Creates a place in memory of this process alone.
    package init(_ manifest: WeightManifest, version: UInt64) {
        self.init(manifest, version: version, path: nil, memory: WeightMemory(byteCount: manifest.byteCount))
    }

    init(_ manifest: WeightManifest, version: UInt64, path: String?, memory: WeightMemory) {
        self.version = version
        self.manifest = manifest
        self.path = path
        self.memory = memory
    }

    /// What was written, which nobody may write any more.
    package var written: WeightBytes { WeightBytes(memory) }
}
