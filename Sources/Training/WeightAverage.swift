import Compute
import Files
import Models
import Transformers

/// An exponential moving average of what is trained, in f32: the weights of a teacher that follows the student slowly.
///
/// After every step `w_t = d w_t + (1 - d) w_s` (Tarvainen and Valpola, "Mean teachers are better role models", 2017,
/// arXiv 1703.01780). It begins as the weights are, so that nothing has to be corrected at the beginning. Of adapters it
/// is the mean of A and the mean of B, each by itself.
package struct WeightAverage {
    /// What is kept of it in a step, between 0 and 1.
    package let decay: Double
    /// In the layout of the trained parameters.
    package let values: ParameterBuffer
}

extension Trainer {
    /// Keeps an average from now on, which begins as the weights are.
    /// - Parameter name: becomes part of file names.
    package func keepAverage(_ name: String, decay: Double) {
        let average = WeightAverage(decay: decay, values: ParameterBuffer(layout: masters.layout))
        average.values.copy(from: masters, context: context)
        averages[name] = average
    }

    /// Follows a step that changed the weights.
    func moveAverages() {
        for average in averages.values {
            context.moveAverage(average.values.flat, towards: masters.flat, decay: average.decay)
        }
    }

    // MARK: Checkpoints

    private static func path(_ name: String, in folder: String) -> String { "\(folder)/\(name)" }

    private func adapters(_ adaptation: Adaptation, of average: WeightAverage) -> Adapters {
        Adapters(layout: adaptation.adapters.layout, values: average.values)
    }

    /// Writes each average into a folder of its name: a model in f32, or adapters as peft reads them.
    /// - Parameter base: the model whose tokenizer goes with them, or which lies below the adapters.
    /// - Throws: `ModelError` when a file cannot be written (disk full).
    package func saveAverages(to folder: String, base: ModelFiles) throws {
        for (name, average) in averages {
            let path = Self.path(name, in: folder)
            if let adaptation {
                try AdapterFolder.write(
                    adapters(adaptation, of: average), to: path, base: base,
                    fingerprint: adaptation.snapshot.baseFingerprint)
            } else {
                try ModelWriter.write(
                    to: path, configuration: configuration, type: .f32, copyingTokenizerFrom: base
                ) { average.values.values(average.values.layout[$0.name]!) }
            }
        }
    }

    /// Continues from averages that `saveAverages` wrote, and begins those that are not there as the weights are now.
    /// - Throws: `ModelError` naming the file or tensor that does not fit this model.
    package func loadAverages(from folder: String) throws {
        for (name, average) in averages {
            let path = Self.path(name, in: folder)
            guard FileTree.leadsToFolder(path) else {
                average.values.copy(from: masters, context: context)
                continue
            }
            if let adaptation {
                try AdapterFolder.read(path, into: adapters(adaptation, of: average))
            } else {
                try read(ModelFiles.open(path), into: average.values)
            }
            guard isFinite(sumOfSquares: context.sumOfSquares(average.values.flat)) else {
                throw ModelError(.tensor, "\(path): a weight is not finite; use another checkpoint")
            }
        }
    }

    /// Writes an average as it is now as weights are broadcast, into `broadcastByteCount` bytes, 64-byte aligned.
    package func writeBroadcast(of average: WeightAverage, into memory: UnsafeMutableRawBufferPointer) {
        precondition(memory.count == broadcastByteCount, "the broadcast buffer has another model's size")
        if let adaptation {
            adaptation.snapshot.write(adapters(adaptation, of: average), into: memory)
        } else {
            writeBroadcast(of: average.values, into: memory)
        }
    }
}
