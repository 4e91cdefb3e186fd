import CPlatform
import Glibc
import Locking
import Supervision
import Wording

/// A program that runs: a process group of its own, and the thread that started it and talks with it.
///
/// Requests are asked one after the other, in the order in which they came. The program is killed, with its group, when
/// it does what it should not, when nobody holds this any more, and when this process dies.
final class EnvironmentProgram: Sendable {
    enum Outcome: Sendable {
        case answered(ProgramAnswer)
        /// `isOwn`: whether this was the request that was open then.
        case failed(ProgramFailure, isOwn: Bool)
    }

    private struct Waiting: Sendable {
        var request: ProgramRequest
        var answer: @Sendable (Outcome) -> Void
    }

    private struct State: Sendable {
        var waiting: [Waiting] = []
        var asked: Waiting?
        var isUnwanted = false
        /// Why nothing is answered any more.
        var failure: ProgramFailure?
        var closing: [CheckedContinuation<Void, Never>] = []
    }

    /// What the thread holds: not the program itself, so that it ends when nobody else holds that.
    private final class Talk: Sendable {
        let state = Locked(State())
        /// Readable when there is something new in `state`.
        let event = cplatform_event_create()
        deinit { Glibc.close(event) }
    }

    private let talk = Talk()

    /// - Parameter log: takes what it writes to its standard error.
    init(_ settings: ProgramSettings, _ log: ProgramLog) {
        let talk = talk
        guard let pipes = ProgramPipes() else {
            let reason = "no pipes for it: \(String(cString: strerror(errno)))"
            Self.close(talk, ProgramFailure(flaw: .notStarted(reason)))
            return
        }
        var spec = ProcessSpec(
            name: "environment", role: .member, executable: ProcessSpec.path(of: settings.command[0]),
            arguments: Array(settings.command.dropFirst()))
        (spec.input, spec.output, spec.errors) = (pipes.theirs.input, pipes.theirs.output, pipes.theirs.errors)
        spec.endsWithParent = true
        spec.addressSpace = settings.addressSpace
        let words = Locked(LastWords())
        let found = Locked<ProgramFlaw?>(nil)
        RunningChild.start(spec, arguments: spec.arguments) { child in
            pipes.closeTheirs()
            let flaw = Self.converse(with: child, pipes, settings, talk) { bytes in
                words.withLock { $0.add(bytes) }
                log.append(bytes)
            }
            found.withLock { $0 = flaw }
            child.send(SIGKILL)
        } ended: { status in
            pipes.close()
            var flaw = found.withLock { $0 } ?? .ended("")
            if case .notStarted(let reason) = status { flaw = .notStarted(reason) }
            if flaw == .ended("") { flaw = .ended("\(status)") }
            Self.close(talk, ProgramFailure(flaw: flaw, lastWords: words.withLock { $0.line }))
        }
    }

    deinit { kill() }

    /// Asks something, after what was asked before.
    func ask(_ request: ProgramRequest) async -> Outcome {
        await withCheckedContinuation { continuation in
            let failure = talk.state.withLock { state in
                if state.failure == nil {
                    state.waiting.append(Waiting(request: request) { continuation.resume(returning: $0) })
                }
                return state.failure
            }
            if let failure { return continuation.resume(returning: .failed(failure, isOwn: false)) }
            cplatform_event_signal(talk.event)
        }
    }

    /// Has it end at once, with all of its group; what it was asked is answered by how it ended.
    private func kill() {
        talk.state.withLock { $0.isUnwanted = true }
        cplatform_event_signal(talk.event)
    }

    /// Ends it, and returns when nothing of its group is left.
    func close() async {
        kill()
        await withCheckedContinuation { continuation in
            let isOver = talk.state.withLock { state in
                if state.failure == nil { state.closing.append(continuation) }
                return state.failure != nil
            }
            if isOver { continuation.resume() }
        }
    }

    private static func close(_ talk: Talk, _ failure: ProgramFailure) {
        let left = talk.state.withLock { state in
            state.failure = failure
            defer { (state.asked, state.waiting, state.closing) = (nil, [], []) }
            return (asked: state.asked, waiting: state.waiting, closing: state.closing)
        }
        left.asked?.answer(.failed(failure, isOwn: true))
        for waiting in left.waiting { waiting.answer(.failed(failure, isOwn: false)) }
        for continuation in left.closing { continuation.resume() }
    }

    /// Talks with the program until it does wrong, ends, or is unwanted.
    private static func converse(
        with child: RunningChild, _ pipes: ProgramPipes, _ settings: ProgramSettings, _ talk: Talk,
        heard: (ArraySlice<UInt8>) -> Void
    ) -> ProgramFlaw {
        var conversation = ProgramConversation(givesReward: settings.givesReward)
        var unsent: ArraySlice<UInt8> = []
        var limit = settings.startLimit, deadline = ContinuousClock.now
        let end = cplatform_process_descriptor(child.pid)
        defer { if end >= 0 { Glibc.close(end) } }
        var hasErrors = true
        while true {
            cplatform_event_clear(talk.event)
            let next = talk.state.withLock { state -> (request: ProgramRequest?, isUnwanted: Bool) in
                if state.asked == nil, !state.waiting.isEmpty { state.asked = state.waiting.removeFirst() }
                return (conversation.open == nil ? state.asked?.request : nil, state.isUnwanted)
            }
            guard !next.isUnwanted else { return .ended("") }
            if let request = next.request {
                unsent = conversation.ask(request)[...]
                deadline = .now + limit
            }
            let left = conversation.open == nil ? nil : ContinuousClock.now.duration(to: deadline)
            if let left, left <= .zero { return .late(limit) }
            var files = [
                pollfd(fd: talk.event, events: Int16(POLLIN), revents: 0),
                pollfd(fd: pipes.output, events: Int16(POLLIN), revents: 0),
                pollfd(fd: hasErrors ? pipes.errors : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: unsent.isEmpty ? -1 : pipes.input, events: Int16(POLLOUT), revents: 0),
                pollfd(fd: end, events: Int16(POLLIN), revents: 0),
            ]
            let wait = left.map { Int32(clamping: $0.wholeMilliseconds) } ?? -1
            guard poll(&files, nfds_t(files.count), wait) > 0 else { continue }
            if files[2].revents != 0 { hasErrors = ProgramPipes.read(pipes.errors, heard) }
            if files[3].revents != 0 { unsent = ProgramPipes.write(unsent, to: pipes.input) }
            var isOver = files[4].revents != 0
            if files[1].revents != 0 || isOver {
                var answer: ProgramAnswer?, flaw: ProgramFlaw?
                let isOpen = ProgramPipes.read(pipes.output) { bytes in
                    guard flaw == nil else { return }
                    do throws(ProgramFlaw) {
                        if let taken = try conversation.take(bytes) { answer = taken }
                    } catch {
                        flaw = error
                    }
                }
                if flaw == nil, answer != nil, !unsent.isEmpty { flaw = .unasked("an answer before the whole request") }
                if let flaw {
                    _ = ProgramPipes.read(pipes.errors, heard)
                    return flaw
                }
                if let answer {
                    limit = settings.answerLimit
                    let asked = talk.state.withLock { state in
                        defer { state.asked = nil }
                        return state.asked
                    }
                    asked?.answer(.answered(answer))
                }
                if !isOpen { isOver = true }
            }
            if isOver {
                // Its last words are in the pipe already.
                if hasErrors { _ = ProgramPipes.read(pipes.errors, heard) }
                var ending = pollfd(fd: end, events: Int16(POLLIN), revents: 0)
                // One that ends closes its output a moment before.
                let hasEnded = end < 0 || poll(&ending, 1, 1000) > 0
                return .ended(hasEnded ? "" : "closed its standard output")
            }
        }
    }
}

/// The last line of a text that comes in parts: not blank, and cut to what a message of one line has room for.
struct LastWords: Sendable {
    private var bytes: [UInt8] = []
    private static let most = 4096

    mutating func add(_ more: ArraySlice<UInt8>) {
        bytes += more
        if bytes.count > Self.most { bytes.removeFirst(bytes.count - Self.most) }
    }

    /// Nil where there is none.
    var line: String? {
        let lines = bytes.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self).trimmed }
        return lines.last { !$0.isEmpty }.map { ProgramAnswer.short(String($0), to: 300) }
    }
}
