import Environments
import Logging
import Wording

/// The programs of one worker, and which episodes each of them plays.
///
/// A program is started when an episode needs it. One that fails is replaced, a little later each time; when several
/// have failed in a row, without an episode played to its end, no other is started.
package actor ProgramPool: EnvironmentService {
    private struct Seat {
        var program: EnvironmentProgram
        var episodes: Set<UInt64> = []
    }

    private struct Place {
        var program: Int
        var turn = 0
    }

    private let settings: ProgramSettings
    private let log: ProgramLog
    private let logger: Logger
    private var seats: [Int: Seat] = [:]
    private var places: [UInt64: Place] = [:]
    /// Why episodes without a place have lost it.
    private var lost: [UInt64: EnvironmentFailure] = [:]
    /// Who waits for room.
    private var waiting: [CheckedContinuation<Void, Never>] = []
    private var newest = 0
    private var starting = 0
    private var failures = 0
    private var nextStart = ContinuousClock.now
    private var end: EnvironmentFailure?

    package init(_ settings: ProgramSettings, logger: Logger) {
        self.settings = settings
        self.logger = logger
        log = ProgramLog(path: settings.logPath)
    }

    package func step(
        _ episode: UInt64, _ start: EpisodeStart, _ text: String
    ) async throws(EnvironmentFailure) -> EnvironmentStep {
        if let failure = lost.removeValue(forKey: episode) { throw failure }
        if places[episode] == nil {
            let program = try await place(episode)
            _ = try await ask(.reset(episode: episode, start), program)
        }
        guard let place = places[episode] else { throw lost.removeValue(forKey: episode) ?? Self.forgotten }
        places[episode]?.turn += 1
        let answer = try await ask(.step(episode: episode, turn: place.turn + 1, text: text), place.program)
        guard case .step(let step) = answer else { throw Self.forgotten }
        if step.isDone { leave(episode) }
        return step
    }

    package func end(_ episode: UInt64) async {
        lost[episode] = nil
        guard let place = places[episode] else { return }
        // What fails here fails the program, and nobody waits for it.
        _ = try? await ask(.end(episode: episode), place.program)
        lost[episode] = nil
        leave(episode)
    }

    /// Ends all programs, with all that they started. It returns when they are gone.
    package func close() async {
        end = end ?? EnvironmentFailure("the worker ends", isFinal: true)
        let programs = seats.values.map(\.program)
        seats = [:]
        places = [:]
        release()
        for program in programs { await program.close() }
    }

    /// An episode that was forgotten while it waited.
    private static let forgotten = EnvironmentFailure("the episode was given up", isOwn: false)

    // MARK: Programs

    /// Gives an episode a place at a program, once there is room.
    private func place(_ episode: UInt64) async throws(EnvironmentFailure) -> Int {
        while true {
            if let end { throw end }
            // The one with the most room, of equals the oldest.
            let free = seats.filter { $0.value.episodes.count < settings.slots }
            if let best = free.min(by: { ($0.value.episodes.count, $0.key) < ($1.value.episodes.count, $1.key) }) {
                places[episode] = Place(program: best.key)
                seats[best.key]?.episodes.insert(episode)
                return best.key
            }
            if seats.count + starting < settings.mostPrograms {
                starting += 1
                try? await Task.sleep(until: nextStart, clock: .continuous)
                starting -= 1
                if let end { throw end }
                newest += 1
                seats[newest] = Seat(program: EnvironmentProgram(settings, log))
                release()
            } else {
                await withCheckedContinuation { waiting.append($0) }
            }
        }
    }

    /// Lets all who wait look again.
    private func release() {
        for continuation in waiting { continuation.resume() }
        waiting = []
    }

    private func leave(_ episode: UInt64) {
        guard let place = places.removeValue(forKey: episode) else { return }
        failures = 0
        seats[place.program]?.episodes.remove(episode)
        release()
    }

    private func ask(_ request: ProgramRequest, _ number: Int) async throws(EnvironmentFailure) -> ProgramAnswer {
        guard let program = seats[number]?.program else {
            throw lost.removeValue(forKey: request.episode) ?? Self.forgotten
        }
        switch await program.ask(request) {
        case .answered(let answer): return answer
        case .failed(let failure, let isOwn):
            fail(number, failure)
            let lost = lost.removeValue(forKey: request.episode)
            if let end { throw end }
            throw EnvironmentFailure(lost?.message ?? "\(settings.name) \(failure)", isOwn: isOwn)
        }
    }

    /// Gives a program up, once, with the places of all its episodes.
    private func fail(_ number: Int, _ failure: ProgramFailure) {
        guard let seat = seats.removeValue(forKey: number) else { return }
        failures += 1
        let what = "the environment's program \(settings.name) \(failure)"
        for episode in seat.episodes {
            places[episode] = nil
            lost[episode] = EnvironmentFailure(what, isOwn: false)
        }
        if failures >= settings.mostFailures {
            end =
                end
                ?? EnvironmentFailure(
                    "the environment's program \(settings.name) failed \(failures) times in a row; the last one "
                        + "\(failure)", isFinal: true)
        } else {
            logger.warning("\(what); its episodes are played again")
            nextStart = .now + settings.backoff(failures)
        }
        release()
    }
}

extension ProgramPool {
    /// Whether a program does as it should: it is started, begins an episode, and is ended.
    /// - Returns: what is wrong, a line that begins with the command; nil: nothing.
    package static func flaw(of settings: ProgramSettings, beginning start: EpisodeStart) async -> String? {
        let program = EnvironmentProgram(settings, ProgramLog(path: settings.logPath))
        var flaw: String?
        for request in [ProgramRequest.reset(episode: 1, start), .end(episode: 1)] where flaw == nil {
            if case .failed(let failure, _) = await program.ask(request) { flaw = "\(settings.name) \(failure)" }
        }
        await program.close()
        return flaw
    }
}
