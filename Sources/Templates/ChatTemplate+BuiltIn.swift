extension ChatTemplate {
    /// Names of the templates that come with opd.
    package static let builtInNames = ["chatml", "llama3", "mistral", "plain"]

    /// The template with one of ``builtInNames``; nil for any other name.
    package static func builtIn(_ name: String) -> ChatTemplate? {
        guard let template = templates[name] else { return nil }
        return ChatTemplate(template, origin: .builtIn(name))
    }

    /// The template of a model that has none.
    package static var missing: ChatTemplate { ChatTemplate(templates["plain"]!, origin: .missing) }

    private static let templates: [String: Template] = sources.reduce(into: [:]) { result, source in
        // These texts are constants, which tests render.
        result[source.key] = try? Template(source.value, name: source.key)
    }

    private static let sources = [
        "chatml": """
        {% for message in messages %}
        {{ '<|im_start|>' ~ message.role ~ '\\n' ~ message.content ~ '<|im_end|>\\n' }}
        {%- endfor %}
        {% if add_generation_prompt %}
        {{- '<|im_start|>assistant\\n' }}
        {%- endif %}
        """,
        "llama3": """
        {% for message in messages %}
        {{- '<|start_header_id|>' ~ message.role ~ '<|end_header_id|>\\n\\n' ~ message.content | trim }}
        {{- '<|eot_id|>' }}
        {%- endfor %}
        {% if add_generation_prompt %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
        {%- endif %}
        """,
        "mistral": """
        {% set state = namespace(system='') %}
        {% for message in messages %}
        {% if loop.first and message.role == 'system' %}
        {% set state.system = message.content ~ '\\n\\n' %}
        {% elif message.role == 'assistant' %}
        {{- message.content ~ '</s>' }}
        {%- elif message.role == 'user' %}
        {{- '[INST] ' ~ state.system ~ message.content ~ ' [/INST]' }}
        {%- set state.system = '' %}
        {% else %}
        {{- '[INST] ' ~ message.content ~ ' [/INST]' }}
        {%- endif %}
        {% endfor %}
        """,
        "plain": "{{ messages | map(attribute='content') | join('\\n\\n') }}",
    ]
}
