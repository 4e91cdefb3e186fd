/// Everything that is wrong with a configuration or a prompt file, in the order of its lines.
package struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// One thing that is wrong, where it is, and what would be right.
    package struct Problem: Sendable, Equatable, CustomStringConvertible {
        /// The file, or `--set`.
        package var source: String
        /// Counted from 1; nil when the problem has no line.
        package var line: Int?
        /// Full name of the key, empty when the problem is not one key's.
        package var key: String
        package var message: String

        package init(source: String, line: Int? = nil, key: String = "", message: String) {
            self.source = source
            self.line = line
            self.key = key
            self.message = message
        }

        package var description: String {
            source + (line.map { ":\($0)" } ?? "") + ": " + (key.isEmpty ? "" : "\(key): ") + message
        }
    }

    package var problems: [Problem]

    package init(problems: [Problem]) { self.problems = problems }

    /// One line a problem.
    package var description: String { problems.map(\.description).joined(separator: "\n") }
}
