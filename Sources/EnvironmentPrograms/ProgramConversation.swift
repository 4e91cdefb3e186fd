/// The talk with one program: one line is asked, one line answers it, then the next.
///
/// It takes the bytes that the program writes, whole or in parts, and knows neither process nor clock.
package struct ProgramConversation: Sendable {
    /// Bytes of an answer, its end left out.
    package static let longestLine = 1 << 20

    private let givesReward: Bool
    /// What has no answer yet.
    package private(set) var open: ProgramRequest?
    /// The beginning of its answer.
    private var line: [UInt8] = []

    package init(givesReward: Bool) { self.givesReward = givesReward }

    /// The line to be written. What was asked before has its answer.
    package mutating func ask(_ request: ProgramRequest) -> [UInt8] {
        precondition(open == nil, "one request at a time")
        open = request
        return request.line
    }

    /// Takes what the program wrote.
    /// - Returns: the answer to the open request; nil: more is to come.
    package mutating func take(_ bytes: some Collection<UInt8>) throws(ProgramFlaw) -> ProgramAnswer? {
        guard !bytes.isEmpty else { return nil }
        guard let request = open else { throw .unasked(Self.text(bytes)) }
        guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else {
            line += bytes
            guard line.count <= Self.longestLine else { throw .tooLong }
            return nil
        }
        line += bytes[..<end]
        guard line.count <= Self.longestLine else { throw .tooLong }
        let more = bytes[bytes.index(after: end)...]
        guard more.isEmpty else { throw .unasked(Self.text(more)) }
        let answer = try ProgramAnswer(line, to: request, givesReward: givesReward)
        open = nil
        line = []
        return answer
    }

    private static func text(_ bytes: some Collection<UInt8>) -> String {
        "'" + ProgramAnswer.short(String(decoding: bytes.prefix(320), as: UTF8.self)) + "'"
    }
}
