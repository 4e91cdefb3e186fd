import Models
import Transformers

/// The optimizer's moments as a safetensors file: `exp_avg.NAME` and `exp_avg_sq.NAME` in f32, the step in the metadata.
extension Trainer {
    private static let stepKey = "optimizer_step"

    private var moments: [(prefix: String, buffer: ParameterBuffer)] {
        [("exp_avg.", firstMoment), ("exp_avg_sq.", secondMoment)]
    }

    /// - Throws: `ModelError` when the file cannot be written (disk full).
    package func saveOptimizer(to path: String) throws {
        let entries = moments.flatMap { prefix, buffer in
            buffer.layout.entries.map { SafetensorsWriter.Entry(prefix + $0.spec.name, .f32, $0.spec.shape) }
        }
        var writer = try SafetensorsWriter(
            path, entries: entries, metadata: ["format": "pt", Self.stepKey: String(stepCount)])
        for (_, buffer) in moments {
            for entry in buffer.layout.entries { try writer.append(UnsafeRawBufferPointer(buffer.values(entry))) }
        }
        try writer.finish()
    }

    /// - Throws: `ModelError` naming the tensor that is missing or misshapen.
    package func loadOptimizer(from path: String) throws {
        let file = try SafetensorsFile.open(path)
        guard let step = file.metadata[Self.stepKey].flatMap({ Int($0) }), step >= 0 else {
            throw ModelError(.malformed, "\(path): its metadata lack '\(Self.stepKey)'; use another checkpoint")
        }
        for (prefix, buffer) in moments {
            for entry in buffer.layout.entries {
                let name = prefix + entry.spec.name
                guard try file.entry(name).shape == entry.spec.shape else {
                    throw ModelError(
                        .tensor, "\(path): tensor '\(name)' has not the shape of this model; use another checkpoint")
                }
                try file.read(name, into: UnsafeMutableBufferPointer(mutating: buffer.values(entry)))
            }
        }
        guard hasFiniteMoments else {
            throw ModelError(.tensor, "\(path): a moment is not finite; use another checkpoint")
        }
        stepCount = step
    }
}
