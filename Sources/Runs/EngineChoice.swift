import Engines
import NativeEngine
import ServerEngine

/// Chooses the engine that computes a model: the one place that knows every engine.
package struct EngineChoice: Sendable {
    private let choose: @Sendable (ModelReference) -> any EngineFactory

    package init(_ choose: @escaping @Sendable (ModelReference) -> any EngineFactory) { self.choose = choose }

    /// Servers compute what they are named for, the engine of this project everything else.
    package static let standard = EngineChoice { model in
        guard model.server != nil else { return NativeEngineFactory() }
        return ServerEngineFactory(native: NativeEngineFactory())
    }

    package func factory(for model: ModelReference) -> any EngineFactory { choose(model) }
}
