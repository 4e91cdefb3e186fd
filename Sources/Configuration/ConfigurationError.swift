/// Everything that is wrong with a configuration or a prompt file, in the order of its lines.
public struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// One thing that is wrong, where it is, and what would be right.
    public struct Problem: Sendable, Equatable, CustomStringConvertible {
        /// The file, or `--set`.
        public var source: String
        /// Counted from 1; nil when the problem has no line.
        public var line: Int?
        /// Full name of the key, empty when the problem is not one key's.
        public var key: String
        public var message: String

        public init(source: String, line: Int? = nil, key: String = "", message: String) {
            self.source = source
            self.line = line
            self.key = key
            self.message = message
        }

        public var description: String {
            source + (line.map { ":\($0)" } ?? "") + ": " + (key.isEmpty ? "" : "\(key): ") + message
        }
    }

    public var problems: [Problem]

    public init(problems: [Problem]) { self.problems = problems }

    /// One line a problem.
    public var description: String { problems.map(\.description).joined(separator: "\n") }
}
