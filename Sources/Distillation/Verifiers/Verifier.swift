import Wording

/// A program that judges a response's text: no model, no randomness.
///
/// `after` is a marker that must stand in the response: what is judged begins behind its last occurrence. A response
/// without it fails, so that a worked answer that was cut short is not right by accident.
package enum Verifier: Sendable, Equatable {
    /// The response is the answer, but for white space around it.
    case exact(after: String?, ignoresCase: Bool)
    /// The last number of the response is the answer, to within `tolerance`.
    case numeric(after: String?, tolerance: Double)
    /// The pattern matches somewhere in the response; nil: the problem's answer is the pattern.
    case regex(ResponsePattern?, after: String?)
    /// Rules that a program checks; the reward is the share of them that is kept.
    case rules([FormatRule])

    /// Names, as prompt files write them.
    package static let names = ["exact", "numeric", "regex", "rules"]

    package var name: String {
        switch self {
        case .exact: "exact"
        case .numeric: "numeric"
        case .regex: "regex"
        case .rules: "rules"
        }
    }

    var marker: String? {
        switch self {
        case .exact(let after, _), .numeric(let after, _), .regex(_, let after): after
        case .rules: nil
        }
    }

    func isEmptyAnswer(_ answer: String) -> Bool { answer.trimmed.isEmpty }

    func verdict(on response: String, answer: String) -> Verdict {
        guard let judged = Self.text(of: response, after: marker) else { return Verdict(passed: false) }
        switch self {
        case .exact(_, let ignoresCase):
            let given = judged.trimmed, wanted = answer.trimmed
            return Verdict(passed: ignoresCase ? given.lowercased() == wanted.lowercased() : given == wanted)
        case .numeric(_, let tolerance):
            guard let given = LastNumber.find(in: judged), let wanted = LastNumber.number(answer) else {
                return Verdict(passed: false)
            }
            return Verdict(passed: given.isEqual(to: wanted, tolerance: tolerance))
        case .regex(let pattern, _):
            guard let pattern else { return Verdict(passed: false) }
            do {
                return Verdict(passed: try pattern.matches(judged))
            } catch {
                return Verdict(reward: 0, passed: false, flaw: error.message)
            }
        case .rules(let rules):
            let kept = rules.count { $0.isKept(by: judged) }
            return Verdict(reward: Double(kept) / Double(max(rules.count, 1)), passed: kept == rules.count)
        }
    }

    /// What stands behind the last marker; nil when the marker is missing.
    private static func text(of response: String, after marker: String?) -> String? {
        guard let marker, !marker.isEmpty else { return response }
        guard let range = response.ranges(of: marker).last else { return nil }
        return String(response[range.upperBound...])
    }
}
