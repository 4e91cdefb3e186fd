import Files
import JSON

/// Adapters on disk, as Hugging Face's peft reads them: `adapter_model.safetensors` and `adapter_config.json`.
package enum AdapterFolder {
    private static let weightsName = "adapter_model.safetensors"
    private static let prefix = "base_model.model."
    private static let fingerprintKey = "base_fingerprint"

    /// Writes a folder.
    /// - Parameters:
    ///   - values: f32, in their places.
    ///   - base: where the model is that was adapted.
    /// - Throws: `ModelError` when a file cannot be written (disk full).
    package static func write(
        _ places: AdapterPlaces, _ values: UnsafeRawBufferPointer, to folder: String, base: String,
        fingerprint: UInt64
    ) throws {
        try FileSystem.createFolder(folder)
        let entries = places.parameters.entries
        var writer = try SafetensorsWriter(
            folder.appendingPath(weightsName),
            entries: entries.map { .init(prefix + $0.spec.name, .f32, $0.spec.shape) },
            metadata: ["format": "pt", fingerprintKey: String(fingerprint, radix: 16)])
        for entry in entries {
            try writer.append(UnsafeRawBufferPointer(rebasing: values[entry.byteRange]))
        }
        try writer.finish()
        let configuration: JSONValue = [
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": .string(base),
            "r": .integer(places.rank), "lora_alpha": number(places.alpha),
            "target_modules": .array(places.targets.map { .string($0) }), "lora_dropout": .number(0),
            "bias": "none", "fan_in_fan_out": false, "init_lora_weights": true, "inference_mode": true,
        ]
        // Last, so that a folder with one is whole.
        try FileSystem.write(configuration.text() + "\n", to: folder.appendingPath("adapter_config.json"))
    }

    /// The fingerprint of the base model of the adapters that `write` wrote.
    /// - Throws: `ModelError` when there are none.
    package static func baseFingerprint(in folder: String) throws -> UInt64 {
        let file = try SafetensorsFile.open(folder.appendingPath(weightsName))
        guard let base = file.metadata[fingerprintKey].flatMap({ UInt64($0, radix: 16) }) else {
            throw ModelError(.malformed, "\(file.path): its metadata lack '\(fingerprintKey)'; use another checkpoint")
        }
        return base
    }

    /// Overwrites values with those that `write` wrote.
    /// - Parameter values: f32, in their places.
    /// - Throws: `ModelError` naming what does not fit.
    package static func read(
        _ folder: String, _ places: AdapterPlaces, into values: UnsafeMutableRawBufferPointer
    ) throws {
        let file = try SafetensorsFile.open(folder.appendingPath(weightsName))
        for entry in places.parameters.entries {
            let name = prefix + entry.spec.name
            guard try file.entry(name).shape == entry.spec.shape else {
                throw ModelError(
                    .tensor, "\(file.path): tensor '\(name)' has not the shape of this run's; use another checkpoint")
            }
            let place = UnsafeMutableRawBufferPointer(rebasing: values[entry.byteRange])
            try file.read(name, into: place.assumingMemoryBound(to: Float.self))
        }
    }

    private static func number(_ value: Float) -> JSONValue {
        value == value.rounded() && abs(value) < 1e9 ? .integer(Int(value)) : .number(Double(value))
    }
}
