/// Why an engine cannot go on, in one line.
package struct EngineError: Error, CustomStringConvertible, Sendable {
    package let message: String
    /// Whether nobody is there who would compute, such as a server: that may be otherwise at another time.
    package let isAbsence: Bool

    package init(_ message: String, isAbsence: Bool = false) {
        self.message = message
        self.isAbsence = isAbsence
    }

    package var description: String { message }
}

/// What an engine was given and cannot work with. Who gave it adds the name under which the user can mend it.
package struct EngineRefusal: Error, CustomStringConvertible, Sendable, Equatable {
    /// What does not fit.
    package enum Subject: Sendable, Equatable { case model, adapters, shape, engine }

    package let subject: Subject
    /// Why, in one line.
    package let reason: String

    package init(_ subject: Subject, _ reason: String) {
        self.subject = subject
        self.reason = reason
    }

    package var description: String { reason }
}
