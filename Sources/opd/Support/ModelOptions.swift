import ArgumentParser
import Engines
import Foundation
import Rules

extension ElementType: ExpressibleByArgument {}

/// How a model is run.
struct ModelOptions: ParsableArguments {
    @Option(help: "Precision of weights and activations: bf16 or f32.")
    var dtype: ElementType = .bf16

    @Option(help: "Compute threads; 0: one a core.")
    var threads = 0

    func validate() throws {
        guard (0...1024).contains(threads) else { throw ValidationError("--threads takes 0 to 1024, got \(threads)") }
    }

    /// A model as an engine is asked for it.
    func reference(_ path: String) -> ModelReference {
        ModelReference(path: path, type: dtype == .f32 ? .f32 : .bf16)
    }

    /// Threads to use: as many as this process may run on unless named.
    var threadCount: Int { threads > 0 ? threads : Self.availableCores }

    /// Cores that this process may use.
    static var availableCores: Int { ProcessInfo.processInfo.activeProcessorCount }
}
