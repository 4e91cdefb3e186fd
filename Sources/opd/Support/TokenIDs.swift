import JSON
import Tokenizers

/// Reads a line of JSON; `expected` says what it should have been.
func parseJSON(_ line: [UInt8], number: Int, expected: String) throws -> JSONValue {
    do {
        return try JSONValue.parse(line)
    } catch {
        throw CommandError(message: "line \(number): expected \(expected): \(error)")
    }
}

/// A JSON array of at least one token id below `vocabularySize`.
func parseTokenIDs(_ line: [UInt8], number: Int, vocabularySize: Int) throws -> [Int32] {
    let expected = "a JSON array of token ids"
    guard let values = try parseJSON(line, number: number, expected: expected).array else {
        throw CommandError(message: "line \(number): expected \(expected)")
    }
    guard !values.isEmpty else { throw CommandError(message: "line \(number): expected at least one token id") }
    return try values.map { value in
        guard case .integer(let id) = value else { throw CommandError(message: "line \(number): expected \(expected)") }
        guard (0..<vocabularySize).contains(id) else {
            throw CommandError(
                message: "line \(number): token id \(id) is outside the model's vocabulary of \(vocabularySize)")
        }
        return Int32(id)
    }
}
