import Environments
import JSON
import Wording

/// What a program answers: a step of an episode, or that it has understood.
package enum ProgramAnswer: Sendable, Equatable {
    case understood
    case step(EnvironmentStep)

    /// Reads the line that answers a request, its end left out.
    /// - Parameter givesReward: whether the program is one that gives rewards.
    package init(_ line: [UInt8], to request: ProgramRequest, givesReward: Bool) throws(ProgramFlaw) {
        let value: JSONValue
        do {
            value = try JSONValue.parse(line, limit: Self.mostValues)
        } catch {
            throw .noAnswer("is \(error)")
        }
        guard let object = value.object else { throw .noAnswer("is \(value.kindName), not an object") }
        var known: [String] = ["episode"]
        if case .step = request { known += ["observation", "reward", "done"] }
        var seen: Set<String> = []
        for member in object.members {
            guard known.contains(member.key) else {
                throw .noAnswer("to '\(request.type)' has '\(Self.short(member.key))', which has no place there")
            }
            guard seen.insert(member.key).inserted else { throw .noAnswer("has '\(member.key)' twice") }
        }
        guard let episode = object["episode"]?.int, UInt64(exactly: episode) == request.episode else {
            let given = object["episode"].map { "'\(Self.short($0.text(pretty: false)))'" } ?? "nothing"
            throw .noAnswer("has \(given) as 'episode', and was asked about \(request.episode)")
        }
        guard case .step = request else {
            self = .understood
            return
        }
        self = .step(try Self.step(object, givesReward: givesReward))
    }

    /// Values of one line: it has a handful.
    private static let mostValues = 64

    private static func step(_ object: JSONObject, givesReward: Bool) throws(ProgramFlaw) -> EnvironmentStep {
        var step = EnvironmentStep("")
        if let done = object["done"] {
            guard let done = done.bool else { throw .noAnswer("has \(done.kindName) as 'done', not true or false") }
            step.isDone = done
        }
        if let reward = object["reward"], !reward.isNull {
            guard givesReward else {
                throw .noAnswer("has a 'reward', and data.environment.rewards is false")
            }
            guard let number = reward.double, (0...1).contains(number) else {
                throw .noAnswer("has '\(short(reward.text(pretty: false)))' as 'reward', not a number from 0 to 1")
            }
            step.reward = number
        }
        switch object["observation"] {
        case nil, .null?:
            guard step.isDone else { throw .noAnswer("has neither an 'observation' nor 'done': true") }
        case .string(let text)?: step.observation = text
        case .object(let message)?:
            guard message.members.count == 2, let content = message["content"]?.string,
                let role = message["role"]?.string.flatMap(ObservationRole.init)
            else {
                let roles = ObservationRole.allCases.map(\.rawValue).joined(separator: " or ")
                throw .noAnswer("has an 'observation' that is no message: a 'role' (\(roles)) and a 'content'")
            }
            step.observation = content
            step.role = role
        case let other?: throw .noAnswer("has \(other.kindName) as 'observation', not a text or a message")
        }
        return step
    }

    /// The beginning of a text that a program wrote, for a message of one line.
    static func short(_ text: String, to count: Int = 80) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.prefix(count).map { $0.isControl ? " " : $0 }))
    }
}
