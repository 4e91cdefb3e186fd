import ArgumentParser

/// Checks that options are between 1 and their limits.
/// - Throws: `ValidationError` naming the first that is not.
func checkLimits(_ options: [(name: String, value: Int, limit: Int)]) throws {
    for (name, value, limit) in options {
        guard (1...limit).contains(value) else { throw ValidationError("\(name) takes 1 to \(limit)") }
    }
}
