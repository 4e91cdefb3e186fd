import Locking

/// A text that is made once for a key, however many ask for it: what an answer costs does not grow with who asks.
package final class KeptText<Key: Equatable & Sendable>: Sendable {
    private let kept = Locked<(key: Key, text: String)?>(nil)

    package init() {}

    /// The text of this key; another key's is forgotten.
    package func text(for key: Key, _ make: () -> String) -> String {
        kept.withLock { kept in
            if let kept, kept.key == key { return kept.text }
            let text = make()
            kept = (key, text)
            return text
        }
    }
}
