import RunFiles

/// Asks the learners how their runs are, while somebody looks.
///
/// A folder's `endpoint` is believed only while a process of this machine has the folder as its run's: one that came
/// from elsewhere could name anybody.
struct WatchQuestions: Sendable {
    /// Asks a learner; the folder is its run's, where it is known.
    typealias Ask = @Sendable (_ run: RunFolder?, _ endpoint: String) async -> StatusAnswer

    private let board: WatchBoard
    private let ask: Ask

    private static let pace: Duration = .seconds(2)

    init(_ board: WatchBoard, _ ask: @escaping Ask) {
        self.board = board
        self.ask = ask
    }

    /// Goes on until the task is cancelled.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            for index in board.all.indices { group.addTask { await follow(index) } }
        }
    }

    private func follow(_ index: Int) async {
        while !Task.isCancelled {
            if board.isLookedAt, let run = board.run(index) {
                let answer = await answer(run)
                board.update(index) {
                    if $0.answer != answer { $0.answerRevision += 1 }
                    $0.answer = answer
                }
            }
            try? await Task.sleep(for: board.isLookedAt ? Self.pace : .milliseconds(300))
        }
    }

    private func answer(_ watched: WatchedRun) async -> StatusAnswer {
        switch watched.source {
        case .endpoint(let endpoint): return await ask(nil, endpoint)
        case .folder(let run):
            guard RunHolder.isHeld(run) else { return .silence("no process of this machine has this folder's run") }
            guard let endpoint = run.readEndpoint() else {
                return .silence("the learner has not said yet where it listens")
            }
            return await ask(run, endpoint)
        }
    }
}
