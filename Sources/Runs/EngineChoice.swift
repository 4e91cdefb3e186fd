import Engines
import NativeEngine

/// Chooses the engine that computes a model: the one place that knows every engine.
package struct EngineChoice: Sendable {
    private let choose: @Sendable (ModelReference) -> any EngineFactory

    package init(_ choose: @escaping @Sendable (ModelReference) -> any EngineFactory) { self.choose = choose }

    /// The engine of this project computes everything.
    package static let standard = EngineChoice { _ in NativeEngineFactory() }

    package func factory(for model: ModelReference) -> any EngineFactory { choose(model) }
}
