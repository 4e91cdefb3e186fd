import Configuration

let minimal = """
    name: tiny
    student: { model: s }
    teachers: { default: { model: t } }
    data: { prompts: p.jsonl }
    """

func parse(_ text: String, _ overrides: [String] = []) throws -> RunConfiguration {
    try RunConfiguration.parse(text, source: "run.yaml", overrides: overrides, requiring: []).configuration
}

func problems(_ text: String, _ overrides: [String] = []) -> [String] {
    do {
        _ = try parse(text, overrides)
        return []
    } catch let error as ConfigurationError {
        return error.problems.map(\.description)
    } catch {
        return ["\(error)"]
    }
}
