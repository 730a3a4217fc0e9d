{{/* What all registrations have, from a list of the chart's context and a path. */}}
{{- define "db-controller.webhook" -}}
{{- $context := index . 0 -}}
admissionReviewVersions: [v1]
sideEffects: None
timeoutSeconds: 10
clientConfig:
  # Without caBundle: the controller, or cert-manager, writes it.
  service:
    name: {{ include "db-controller.fullname" $context }}
    namespace: {{ $context.Release.Namespace }}
    path: {{ index . 1 }}
    port: {{ $context.Values.service.port }}
{{- end }}

{{/* Namespaces that are served; never the cluster's own, nor the release's. */}}
{{- define "db-controller.served" -}}
- {key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system, {{ .Release.Namespace }}]}
{{- with .Values.watchNamespaces }}
- {key: kubernetes.io/metadata.name, operator: In, values: {{ uniq . | toJson }}}
{{- end }}
{{- end }}

{{- define "db-controller.injectCa" -}}
{{- if .Values.webhook.certManager.enabled -}}
annotations:
  cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/{{ include "db-controller.fullname" . }}-webhook
{{- end }}
{{- end }}

{{/* The webhook's arguments. */}}
{{- define "db-controller.webhookArgs" -}}
- --webhook-bind-address=:{{ .Values.webhook.port }}
- --webhook-name={{ include "db-controller.fullname" . }}
{{- if .Values.webhook.certManager.enabled }}
- --webhook-cert-dir=/tmp/k8s-webhook-server/serving-certs
{{- end }}
- --unknown-claim={{ .Values.webhook.unknownClaim }}
{{- if semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version }}
- --sidecar-form=plain
{{- end }}
- --enable-sidecar-readiness-probe={{ .Values.probes.readiness.enabled }}
- --enable-sidecar-liveness-probe={{ .Values.probes.liveness.enabled }}
{{- range $sidecar := list "dbproxy" "dsnexec" }}
{{- range $key, $value := (get $.Values $sidecar).defaults }}
- {{ printf "--%s=%s=%v" $sidecar $key $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "db-controller.webhookEnv" -}}
{{- range $sidecar := list "dbproxy" "dsnexec" }}
{{- $image := (get $.Values $sidecar).image }}
- name: {{ upper $sidecar }}_IMAGE
  value: "{{ $image.repository }}:{{ $image.tag | default $.Chart.AppVersion }}"
{{- end }}
{{- end }}
