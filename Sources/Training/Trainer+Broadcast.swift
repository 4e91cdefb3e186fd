import Compute
import Models
import Transformers

/// Adapters that are trained, and the weights below them.
package struct Adaptation {
    package let base: ParameterBuffer
    package let adapters: Adapters
    /// How the adapters are broadcast.
    package let snapshot: AdapterSnapshot

    init(base: ParameterBuffer, adapters: Adapters) {
        self.base = base
        self.adapters = adapters
        snapshot = AdapterSnapshot(adapters.layout.places, baseFingerprint: base.fingerprint)
    }
}

extension Trainer {
    /// How all weights are broadcast: matrices in the compute type, vectors in f32.
    package var broadcastLayout: ParameterLayout { ParameterLayout(configuration, matrixType: type) }

    /// Bytes of a broadcast: of all weights or, where these alone are trained, of the adapters.
    package var broadcastByteCount: Int { adaptation?.snapshot.byteCount ?? broadcastLayout.byteCount }

    /// Writes the current weights as they are broadcast into `broadcastByteCount` bytes, 64-byte aligned.
    package func writeBroadcast(into memory: UnsafeMutableRawBufferPointer) {
        precondition(memory.count == broadcastByteCount, "the broadcast buffer has another model's size")
        if let adaptation {
            adaptation.snapshot.write(adaptation.adapters, into: memory)
        } else {
            writeBroadcast(of: masters, into: memory)
        }
    }

    /// Writes all weights of a model in f32 as they are broadcast.
    func writeBroadcast(of weights: ParameterBuffer, into memory: UnsafeMutableRawBufferPointer) {
        ParameterBuffer(layout: broadcastLayout, viewing: memory.baseAddress!, owner: self)
            .copy(from: weights, context: context)
    }
}
