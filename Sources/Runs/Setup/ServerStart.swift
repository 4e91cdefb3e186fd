import Configuration
import Engines

/// What a run on one machine asks its servers before any of its processes begins.
package enum ServerStart {
    /// Waits until every server that a process of this run will need has answered, each for as long as its
    /// `start_timeout_s` says. One that is lost later costs the run time only.
    /// - Throws: `EngineError` naming the first that has not answered; `UsageError` for one that has not the model
    ///   that is meant.
    package static func wait(
        for configuration: RunConfiguration, engines: EngineChoice = .standard
    ) async throws {
        for reference in configuration.servedModels {
            _ = try await namingKeys { try await engines.factory(for: reference).describe(reference) }
        }
    }
}

extension RunConfiguration {
    /// The models at servers that processes of a run on this machine use.
    fileprivate var servedModels: [ModelReference] {
        let teachersSample = kind.sampler == .teachers
        var models: [ModelReference] = []
        if teachersSample ? pipeline.workers > 0 : pipeline.scorers > 0 {
            models = usedTeachers.sorted { $0.key < $1.key }.map { reference(of: $0.value, label: $0.key, log: "") }
        }
        if kind.sampler == .student, pipeline.workers > 0 { models.append(rolloutReference(log: "")) }
        return models.filter { $0.server != nil }
    }
}
