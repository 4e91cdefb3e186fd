import Configuration
import JSON
import Templates
import Wording

extension ModelTemplates {
    /// The template that a run renders its prompts with, its variables and its day.
    func configured(by data: RunConfiguration.Data) throws -> ChatTemplate {
        var template: ChatTemplate
        do { template = try self.template(named: data.template) } catch { throw UsageError(error.message) }
        if let text = data.templateArguments, let arguments = try JSONValue.parse(text).object {
            for argument in arguments.members {
                guard !["messages", "tools", "add_generation_prompt"].contains(argument.key) else {
                    throw UsageError("data.template_arguments: '\(argument.key)' comes from the prompts")
                }
                template.variables[argument.key] = argument.value
            }
        }
        if let day = data.date {
            guard let date = TemplateDate(day) else {
                throw UsageError("data.date: expected a day such as 2024-07-26, got '\(day.prefix(40))'")
            }
            template.date = date
        }
        return template
    }
}

extension Conversation {
    /// Roles and contents for a person; contents that are no texts as JSON.
    var texts: [(role: String, content: String)] {
        messages.map { message in
            let content = message["content"] ?? ""
            return (message["role"]?.string ?? "", content.string ?? content.text(pretty: false))
        }
    }
}
