{{/* Whether the API server is asked to keep our rules, which it can from 1.30 on. */}}
{{- define "db-controller.hasPolicies" -}}
{{- and .Values.admissionPolicies.enabled (semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version) }}
{{- end }}

{{/* CEL: whether a claim is of our class, from a list of the chart's context and a variable. */}}
{{- define "db-controller.isOfClass" -}}
{{- $class := include "db-controller.class" (index . 0) -}}
{{- $claim := index . 1 -}}
{{- if eq $class "default" -}}
dyn({{ $claim }}.spec.?class.orValue('')) in [dyn(''), dyn('default'), dyn(null)]
{{- else -}}
{{ $claim }}.spec.?class.orValue('') == '{{ $class }}'
{{- end }}
{{- end }}
