/// What the user must mend before a process can start as it was asked to: exit status 2.
package struct UsageError: MessageError, Equatable {
    package let message: String
    package init(_ message: String) { self.message = message }
}
