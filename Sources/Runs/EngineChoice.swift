import Engines
import NativeEngine
import ServerEngine
import TorchEngine

/// Chooses the engine that computes a model: the one place that knows every engine.
package struct EngineChoice: Sendable {
    private let choose: @Sendable (ModelReference) -> any EngineFactory

    package init(_ choose: @escaping @Sendable (ModelReference) -> any EngineFactory) { self.choose = choose }

    /// The engine of this project computes everything that no other is asked for.
    package static let standard = EngineChoice { model in
        if let torch = model.torch { return TorchEngineFactory(torch, native: NativeEngineFactory()) }
        if model.server != nil { return ServerEngineFactory(native: NativeEngineFactory()) }
        return NativeEngineFactory()
    }

    package func factory(for model: ModelReference) -> any EngineFactory { choose(model) }
}
