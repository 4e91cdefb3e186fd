import Wording

/// A whole checkpoint on disk.
package struct Checkpoint: Sendable, Equatable {
    /// Training steps done when it was written.
    package let step: Int
    /// Its folder.
    package let path: String

    package init(step: Int, path: String) {
        self.step = step
        self.path = path
    }

    /// The file in a checkpoint that lists the others.
    package static let manifestName = CheckpointManifest.fileName

    /// What is wrong with its files, in a few words; nil when all are as they were written. Reads all of it.
    package func flaw() -> String? { CheckpointManifest.flaw(in: path) }

    /// `step-000010`: at least six digits, so that names sort as steps do.
    package static func name(step: Int) -> String { "step-" + step.padded(to: 6) }

    /// The step that a name stands for; nil for every other name, such as one with a slash or `..` in it.
    package static func step(ofName name: String) -> Int? {
        let prefix = "step-"
        guard name.hasPrefix(prefix) else { return nil }
        let digits = name.utf8.dropFirst(prefix.utf8.count)
        guard digits.allSatisfy({ (0x30...0x39).contains($0) }), let step = Int(String(digits) ?? "") else {
            return nil
        }
        return self.name(step: step) == name ? step : nil
    }
}

/// A checkpoint could not be written or its folder not be kept in order.
package struct CheckpointError: MessageError, Equatable {
    /// The kind of failure.
    package enum Code: Sendable { case cannotPrepare, cannotSave, cannotPrune, noneIntact }
    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
