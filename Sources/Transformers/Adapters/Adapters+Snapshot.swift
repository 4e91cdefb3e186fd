import Models
import Randomness

extension AdapterSnapshot {
    /// Writes `byteCount` bytes, 64-byte aligned.
    package func write(_ adapters: Adapters, into memory: UnsafeMutableRawBufferPointer) {
        write(adapters.values.bytes, into: memory)
    }

    /// The adapters in a snapshot, as a view of its bytes, which `owner` keeps alive.
    /// - Parameter layout: that the snapshot was made for.
    /// - Throws: `ModelError` when they are not adapters of this shape and base model.
    package func read(_ bytes: UnsafeRawBufferPointer, _ layout: AdapterLayout, owner: AnyObject) throws -> Adapters {
        // The buffer is only read; the view type has no read-only form.
        let values = UnsafeMutableRawPointer(mutating: try values(in: bytes).baseAddress!)
        return Adapters(
            layout: layout, values: ParameterBuffer(layout: layout.parameters, viewing: values, owner: owner))
    }
}

extension AdapterFolder {
    /// Writes a folder, as `write(_:to:base:fingerprint:)` does.
    package static func write(
        _ adapters: Adapters, to folder: String, base: ModelFiles, fingerprint: UInt64
    ) throws {
        try write(
            adapters.layout.places, adapters.values.bytes, to: folder, base: base.path, fingerprint: fingerprint)
    }

    /// Overwrites adapters with those that `write` wrote.
    /// - Throws: `ModelError` naming what does not fit.
    package static func read(_ folder: String, into adapters: Adapters) throws {
        try read(
            folder, adapters.layout.places, into: UnsafeMutableRawBufferPointer(mutating: adapters.values.bytes))
    }
}

extension ParameterBuffer {
    /// The number that `ModelFiles.fingerprint` gives for the same values. The layout is that of a whole model, in f32.
    package var fingerprint: UInt64 {
        var fingerprint = FNVHash()
        for entry in layout.entries { fingerprint.add(values(entry)) }
        return fingerprint.value
    }
}
