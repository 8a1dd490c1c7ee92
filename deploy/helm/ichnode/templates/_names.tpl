{{- define "ichnode.selector" -}}
app.kubernetes.io/name: ichnode
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ichnode.labels" -}}
{{ include "ichnode.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "ichnode.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}
